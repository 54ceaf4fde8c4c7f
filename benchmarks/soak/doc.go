// Package soak has one test: a host on unet and one on the kernel exchange data for as long as `make soak` is told, over a
// path that loses packets and changes its MTU. Now and then the kernel's host dies. Every octet is compared, and memory
// must not grow.
package soak
