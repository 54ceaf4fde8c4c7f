// Package soak has one test: a host on unet and one of the kernel's talk for as long as `make soak` says, on a path
// that loses packets, changes its MTU and loses the kernel's host now and then. Every octet is compared, and memory may
// not grow.
package soak
