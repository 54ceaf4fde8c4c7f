//go:build !race

package tap_test

// raceEnabled says that the race detector is on.
const raceEnabled = false
