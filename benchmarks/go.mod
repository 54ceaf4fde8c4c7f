// The comparisons, the lab and the soak test, in a module of their own, so that programs that import unet do not have
// their dependencies in the module graph.
module github.com/unet-go/unet/benchmarks

go 1.26.0

replace github.com/unet-go/unet => ../

require (
	github.com/unet-go/unet v0.0.0-00010101000000-000000000000
	github.com/valyala/fasthttp v1.74.0
	github.com/vishvananda/netlink v1.3.1
	go.uber.org/goleak v1.3.0
	golang.org/x/sys v0.49.0
)

require (
	github.com/klauspost/compress v1.20.0 // indirect
	github.com/molecule-man/go-brrr v1.0.1 // indirect
	github.com/songgao/water v0.0.0-20200317203138-2b4b6d7c09d8 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	github.com/vishvananda/netns v0.0.5 // indirect
)
