//go:build race

package fdtable

const raceEnabled = true
