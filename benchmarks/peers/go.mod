// The peers that benchmarks compares unet with. What stands here was written where gVisor's module could not be
// fetched: it has been formatted but never compiled. Where it does not build, the comparison says so and goes on.
// What the comparison measures beside unet and the kernel, in a module of its own, so that nobody who imports unet
// downloads it. The benchmark program builds it with a copy of this file, to which go adds what it needs.
module github.com/unet-go/unet/benchmarks/peers

go 1.26.0

require (
	github.com/valyala/fasthttp v1.74.0
	golang.org/x/sys v0.49.0
	gvisor.dev/gvisor v0.0.0-20250503011706-39ed1f5ac29c
)
