package tap_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/unet-go/unet/tap/taptest"
)

func TestMain(m *testing.M) {
	taptest.Enter()
	goleak.VerifyTestMain(m)
}
