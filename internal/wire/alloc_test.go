package wire

import "testing"

// TestNoAllocation: Parse and Marshal run for every packet, so they may not make work for the collector.
func TestNoAllocation(t *testing.T) {
	src6, dst6 := [16]byte{15: 1}, [16]byte{15: 2}
	frame, arp, ip6 := dirty(64), dirty(ARPLen), dirty(IPv6Len)
	(&ARP{Op: ARPReply}).Marshal(arp)
	(&IPv6{}).Marshal(ip6)
	ip4 := ipv4(IPv4{Options: []byte{1, 148, 4, 0, 0, 131, 3, 4}}, 1, 2, 3)
	icmp4, icmp6 := dirty(ICMPLen), dirty(ICMPLen)
	PutICMPv4Checksum(icmp4)
	PutICMPv6Checksum(icmp6, src6, dst6)
	datagram := dirty(UDPLen)
	(&UDP{Length: UDPLen}).Marshal(datagram)
	options := TCPOptions{Has: TCPOptMSS | TCPOptSACKPermitted | TCPOptTimestamps | TCPOptWScale | TCPOptFastOpen | TCPOptSACK, FastOpenLen: 8, NumSACK: 1}
	segment := dirty(TCPMaxLen)
	segment = segment[:(&TCP{Options: options}).Marshal(segment)]
	extension := []byte{6, 0, 5, 2, 0, 0, 1, 0}
	nd := []byte{1, 1, 2, 0, 0, 0, 0, 1, 5, 1, 0, 0, 0, 0, 5, 0xdc}
	chain := chained(IPv6HopByHop, header6(IPv6Fragments, 5, 2, 0, 0), fragment(ProtocolUDP, 0, true, 1), dirty(8))
	report := joined(0, 0, 0, 1, 4, 0, 0, 0, groupA)
	out := dirty(64)

	var (
		ethernet Ethernet
		a        ARP
		h4       IPv4
		o4       IPv4Option
		h6       IPv6
		ext      IPv6Extension
		o6       IPv6Option
		on       NDOption
		nn       NDNeighbor
		mr       MLDRecord
		mq       MLDQuery
		i4       ICMPv4
		i6       ICMPv6
		u        UDP
		s        TCP
	)
	for _, c := range []struct {
		name string
		run  func() error
	}{
		{"Ethernet", func() error { _, err := ethernet.Parse(frame); ethernet.Marshal(out); return err }},
		{"ARP", func() error { err := a.Parse(arp); a.Marshal(out); return err }},
		{"IPv4", func() error { _, err := h4.Parse(ip4); h4.Marshal(out); return err }},
		{"IPv4 options", func() error {
			r := h4.ReadOptions()
			for {
				if ok, err := r.Next(&o4); !ok {
					return err
				}
			}
		}},
		{"IPv4 CheckOptions", func() error { _, _, err := h4.CheckOptions(); return err }},
		{"IPv6", func() error { _, err := h6.Parse(ip6); h6.Marshal(out); return err }},
		{"IPv6 options", func() error {
			if _, err := ext.Parse(extension); err != nil {
				return err
			}
			r := ext.ReadOptions()
			for {
				if ok, err := r.Next(&o6); !ok {
					return err
				}
			}
		}},
		{"IPv6 chain", func() error {
			if _, problem, ok := WalkIPv6(chain); !ok || problem.Silent {
				return ErrFormat
			}
			return nil
		}},
		{"ND neighbour", func() error { _, err := nn.Parse(&i6, chain[8:]); nn.Marshal(out, 135); return err }},
		{"MLD query", func() error { err := mq.Parse(&i6, chain[:16]); mq.Marshal(out); return err }},
		{"MLD records", func() error {
			r := ReadMLDRecords(&ICMPv6{Rest: [4]byte(report)}, report[4:])
			for {
				if ok, err := r.Next(&mr); !ok {
					return err
				}
				mr.Marshal(out)
			}
		}},
		{"ND options", func() error {
			r := ReadNDOptions(nd)
			for {
				if ok, err := r.Next(&on); !ok {
					return err
				}
				on.Marshal(out)
			}
		}},
		{"ICMPv4", func() error { _, err := i4.Parse(icmp4); i4.Marshal(out); return err }},
		{"ICMPv6", func() error { _, err := i6.Parse(icmp6, src6, dst6); i6.Marshal(out); return err }},
		{"UDP", func() error { _, err := u.Parse(datagram); u.Marshal(out); return err }},
		{"TCP", func() error { _, err := s.Parse(segment); s.Marshal(out); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			if n := testing.AllocsPerRun(100, func() { err = c.run() }); n != 0 || err != nil {
				t.Errorf("%v allocations, %v", n, err)
			}
		})
	}
}
