package ip

import "github.com/unet-go/unet/internal/wire"

// carriesICMPError says whether a payload, which begins with a header of the protocol, is an ICMP error, behind extension
// headers too: some of these are wrong, or have not been looked at in a fragment.
func (f *family) carriesICMPError(protocol uint8, payload []byte) bool {
	for { // each header takes eight octets
		switch {
		case protocol == f.icmp:
			return f.isICMPError(payload)
		case f != family6:
			return false
		case protocol == wire.IPv6HopByHop, protocol == wire.IPv6Routing, protocol == wire.IPv6DestinationOptions:
			var h wire.IPv6Extension
			rest, err := h.Parse(payload)
			if err != nil {
				return false
			}
			protocol, payload = h.NextHeader, rest
		case protocol == wire.IPv6Fragments:
			var h wire.IPv6Fragment
			rest, err := h.Parse(payload)
			if err != nil || h.Offset != 0 {
				return false
			}
			protocol, payload = h.NextHeader, rest
		default:
			return false
		}
	}
}

// isICMPError says whether an ICMP message is an error, or a redirect, or of an unknown type that counts as one.
func (f *family) isICMPError(message []byte) bool {
	if f == family6 {
		return isError6(message)
	}
	return isError4(message)
}

// isError4 says whether an ICMP message is an error, or of an unknown type, which counts as one.
func isError4(message []byte) bool {
	if len(message) == 0 {
		return true
	}
	switch message[0] {
	case 0, 8, 9, 10, 13, 14, 15, 16, 17, 18: // queries and their answers
		return false
	}
	return true
}

// isError6 says whether an ICMPv6 message is an error, known or not, or a redirect, about which there is none either.
func isError6(message []byte) bool {
	return len(message) == 0 || message[0] < wire.ICMPv6EchoRequest || message[0] == wire.ICMPv6Redirect
}
