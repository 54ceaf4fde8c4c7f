// The programs with which unet and the kernel are compared, in a module of its own, so that the benchmarks can be built
// without it. The benchmark program builds it with a copy of this file.
module github.com/unet-go/unet/benchmarks/peers

go 1.26.0

require (
	github.com/valyala/fasthttp v1.74.0
	golang.org/x/sys v0.49.0
	gvisor.dev/gvisor v0.0.0-20250503011706-39ed1f5ac29c
)

require (
	github.com/google/btree v1.1.2 // indirect
	github.com/klauspost/compress v1.20.0 // indirect
	github.com/molecule-man/go-brrr v1.0.1 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	golang.org/x/time v0.7.0 // indirect
)
