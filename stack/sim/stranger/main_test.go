package stranger

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/unet-go/unet/stack/link"
)

// TestMain fails when a goroutine is left over or, in a build with the tag unetdebug, a buffer. A panic, on whatever
// goroutine, names the world that it is in.
func TestMain(m *testing.M) {
	if err := os.Setenv("GODEBUG", os.Getenv("GODEBUG")+",tracebacklabels=1"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if n := link.Outstanding(); n > 0 {
			fmt.Fprintf(os.Stderr, "%d buffers were not given back\n", n)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}
