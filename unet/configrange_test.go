package unet

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/unet-go/unet/stack"
	"github.com/unet-go/unet/stack/sim"
	"github.com/unet-go/unet/stack/tcp"
)

func TestConfigOutOfRange(t *testing.T) {
	for field, cfg := range map[string]Config{
		"MaxNeighbors": {Stack: stack.Config{MaxNeighbors: -1}},
		"MaxBuffered":  {Stack: stack.Config{MaxBuffered: -1}},
		"TCP.MSL":      {Stack: stack.Config{TCP: tcp.Config{MSL: -1}}},
		"TCP.MaxRTO":   {Stack: stack.Config{TCP: tcp.Config{MaxRTO: 1 << 62}}},
		"MTU":          {MTU: -1},
	} {
		segment := sim.NewSegment(sim.Config{})
		cfg.Link = segment.Port()
		h, err := Open(cfg)
		if h != nil || err == nil || !strings.HasPrefix(err.Error(), "unet: ") || !strings.Contains(err.Error(), "Config."+field+" is ") {
			t.Errorf("%s: %v", field, err)
		}
		if field != "MTU" && !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%s: %v is not EINVAL", field, err)
		}
		if err := segment.Close(); err != nil {
			t.Error(err)
		}
	}
}
