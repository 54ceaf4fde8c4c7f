package main

import (
	"context"
	"flag"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

var wholeMillion = flag.Bool("million", false, "run TestMillion: three minutes and 1.5 GB")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFiveThousand(t *testing.T) {
	t.Run("IPv4", func(t *testing.T) { fiveThousand(t, "10.255.0.1:80") })
	t.Run("IPv6", func(t *testing.T) { fiveThousand(t, "[fd00::ff:1]:80", "-6") })
}

func fiveThousand(t *testing.T, server string, args ...string) {
	var out, errs strings.Builder
	args = append(args, "-conns", "5000", "-busy", "8", "-load", "100ms", "-msl", "100ms")
	code := run(context.Background(), args, &out, &errs)
	if code != fine || errs.Len() > 0 {
		t.Fatalf("exit code %d, %s\n%s", code, &errs, &out)
	}
	for _, line := range []string{
		`^5,000 connections from 1 address to ` + regexp.QuoteMeta(server) + `, `,
		`^established in .* s, `,
		`^a message and its answer on each in .* s, `,
		`^8 busy connections beside 5,000 idle ones: .* requests/s`,
		`^closed in .* s, `,
		`^nothing left in the hosts after `,
		`^in the end: \d+ goroutines, `,
	} {
		if !regexp.MustCompile("(?m)" + line).MatchString(out.String()) {
			t.Errorf("no line like %s in\n%s", line, &out)
		}
	}
}

// TestMillion holds the memory of a million connections to the bounds that ARCHITECTURE.md names: `make million`.
func TestMillion(t *testing.T) {
	if !*wholeMillion {
		t.Skip("-million runs it")
	}
	t.Run("F-CONN-1 a million idle connections, both ends", func(t *testing.T) { million(t) })
	t.Run("F-CONN-1 a million idle connections over IPv6", func(t *testing.T) { million(t, "-6") })
}

func million(t *testing.T, args ...string) {
	var out, errs strings.Builder
	code := run(context.Background(), args, io.MultiWriter(&out, os.Stdout), &errs)
	if code != fine || errs.Len() > 0 {
		t.Fatalf("exit code %d, %s", code, &errs)
	}
	took := regexp.MustCompile(`a message and its answer on each in .*\n  each end: (\d+) octets of heap, .* (\d+) resident`).FindStringSubmatch(out.String())
	if took == nil {
		t.Fatal("it does not say what an end takes")
	}
	for i, bound := range map[int]int{1: 576, 2: 1024} {
		if n, err := strconv.Atoi(took[i]); err != nil || n > bound {
			t.Errorf("%s octets for each end, %d at most are wanted", took[i], bound)
		}
	}
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var errs strings.Builder
	if code := run(ctx, []string{"-conns", "100", "-msl", "100ms", "-load", "0"}, io.Discard, &errs); code != failed {
		t.Errorf("exit code %d", code)
	}
	if got := errs.String(); !strings.Contains(got, context.Canceled.Error()) {
		t.Errorf("said %q", got)
	}
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]int{"-h": fine, "-conns 0": usage, "-conns 1000000000": usage, "-workers 0": usage,
		"-busy -1": usage, "more": usage, "-load x": usage} {
		var errs strings.Builder
		if code := run(context.Background(), strings.Fields(args), io.Discard, &errs); code != want || errs.Len() == 0 {
			t.Errorf("%s: exit code %d, said %q", args, code, errs.String())
		}
	}
}
