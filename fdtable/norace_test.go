//go:build !race

package fdtable

const raceEnabled = false
