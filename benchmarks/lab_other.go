//go:build !linux

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// The comparison needs namespaces, TAP and veth, which are Linux's.
type (
	serverKind struct{}
	lab        struct{ control, fasthttp, revision string }
	server     struct{ target string }
)

var (
	contestants              []contestant
	httpServer, streamServer serverKind
)

func newLab(*options) (*lab, error) {
	return nil, fmt.Errorf("network namespaces: %w on %s", errors.ErrUnsupported, runtime.GOOS)
}

func (l *lab) close() error { return nil }

func (l *lab) client(context.Context, any, ...string) error { return errors.ErrUnsupported }

func (s *server) stop() error { return nil }

func (s *server) busy(func() error) (time.Duration, error) {
	return 0, errors.ErrUnsupported
}
