package unet

// Flags that ReadMsgUDP and ReadMsgIP return, with Linux's values on every system: MSG_TRUNC when the datagram did not fit, MSG_CTRUNC when
// the control messages did not.
const (
	msgTrunc  = 0x20
	msgCtrunc = 0x8
)
