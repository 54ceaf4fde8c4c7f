// Package stack is one userspace host: interfaces, addresses and routes, ARP, IPv4, ICMP, UDP and TCP over
// any number of link.Devices, with neither a kernel socket nor a global variable.
//
// Locks: a shard's mutex comes first, the leaves (neighbour cache, UDP table, transmit queue, reassembly)
// after it, and a leaf takes no lock, except that a neighbour cache comes before a transmit queue. No system
// call, channel operation or wake-up happens under a shard's mutex. Addresses and routes are immutable
// snapshots.
//
// Errors are syscall.Errno values. What a packet did wrong is a counter in Stats.
package stack
