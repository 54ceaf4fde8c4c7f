// Package ip is the network layer of one host: frames in, packets out. It has the host's interfaces with their device
// queues, addresses, routes, neighbours, fragments and ICMP, and knows no socket and no TCP.
//
// It calls no package above it. A received frame that is not for the layer itself comes back from Input.Frame as a Packet
// for a transport, or as a Report about a packet that this host has sent. What the host's clock brings about comes back
// from Layer.Advance.
//
// Locks: all of this package's locks are leaves of the host's. Among them those of what speaks on a link by itself, a
// neighbour cache, an announcer, a detector and a membership, come before a queue's; otherwise a leaf takes no lock. Interfaces, addresses and routes are immutable snapshots.
package ip
