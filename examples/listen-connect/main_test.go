package main

import (
	"testing"

	"github.com/unet-go/unet/examples/internal/lan/lantest"
)

func TestReadme(t *testing.T) {
	t.Run("E-CON-1 connect of a listener is EISCONN, and it goes on listening", func(t *testing.T) { lantest.Check(t, run) })
}
