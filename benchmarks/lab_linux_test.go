package main

import (
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const stat = "4711 (a (very) odd) name) S 1 4711 4711 0 -1 4194560 1 2 3 4 123 45 6 7 20 0 9 0 1 2 3"
	got, err := parseStat(stat)
	if want := 1680 * time.Millisecond; err != nil || got != want {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, bad := range []string{"", "4711 (name) S 1 2 3", "4711 (name) S 1 4711 4711 0 -1 4194560 1 2 3 4 x 45 6 7"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestParseMachine(t *testing.T) {
	got, err := parseMachine("cpu  100 20 3 99999 88888 4 5 7777 6666 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
	if want := 1320 * time.Millisecond; err != nil || got != want {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, bad := range []string{"", "cpu0 1 2 3 4 5 6 7", "cpu 1 2 3", "cpu x 2 3 4 5 6 7"} {
		if _, err := parseMachine(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
