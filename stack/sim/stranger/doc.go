// Package stranger holds tests alone: two hosts, their users, and between them a stranger who does to their segments
// whatever he likes.
package stranger
