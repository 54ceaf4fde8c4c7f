package main

import (
	"testing"

	"github.com/unet-go/unet/examples/internal/lan/lantest"
)

func TestReadme(t *testing.T) { lantest.Check(t, run) }
