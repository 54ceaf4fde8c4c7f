package link

import "testing"

func TestMACText(t *testing.T) {
	mac := MAC{0x02, 0xab, 0, 0x7f, 0xff, 0x10}
	text, err := mac.MarshalText()
	if err != nil || string(text) != "02:ab:00:7f:ff:10" {
		t.Fatalf("%s, %v", text, err)
	}
	var back MAC
	if err := back.UnmarshalText([]byte("02:AB:00:7f:FF:10")); err != nil || back != mac {
		t.Errorf("%v, %v", back, err)
	}
	for _, bad := range []string{"", "02:ab:00:7f:ff", "02:ab:00:7f:ff:10:11", "02-ab-00-7f-ff-10", "02:ab:00:7f:ff:1g"} {
		before := back
		if err := back.UnmarshalText([]byte(bad)); err == nil || back != before {
			t.Errorf("%q: %v, %v; want an error and nothing changed", bad, back, err)
		}
	}
}
