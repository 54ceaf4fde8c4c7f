package tap

import "testing"

// What is to be done when the device is closed is done once, also if the device was closed before it was said.
func TestAtClose(t *testing.T) {
	d := &Device{}
	before, after := 0, 0
	d.atClose(func() { before++ })
	if before != 0 {
		t.Error("called before Close")
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	d.atClose(func() { after++ })
	if before != 1 || after != 1 {
		t.Errorf("called %d times what was said before Close, %d times what was said after it; want once each", before, after)
	}
}
