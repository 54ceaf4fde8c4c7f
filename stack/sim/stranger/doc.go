// Package stranger holds only tests: two hosts, their users, and between them a stranger who changes, forges and drops
// their segments at random.
package stranger
