// Package foreign has tests alone: programs that know nothing of unet talk to it over TAP, with its hosts as servers and as
// clients, over both families. `make foreign` runs them, and installs what they need on Debian.
package foreign
