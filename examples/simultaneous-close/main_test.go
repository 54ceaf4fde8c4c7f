package main

import (
	"testing"

	"github.com/unet-go/unet/examples/internal/lan/lantest"
)

func TestReadme(t *testing.T) {
	t.Run("E-CLS-7 simultaneous close ends in TIME-WAIT at both ends", func(t *testing.T) { lantest.Check(t, run) })
}
