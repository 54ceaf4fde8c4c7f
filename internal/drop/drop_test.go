package drop

import (
	"encoding/json"
	"testing"
)

func TestCounters(t *testing.T) {
	var c Counters
	c.Add(Runt)
	c.Add(TooBig)
	c.Add(TooBig)
	n := c.Load()
	text, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	var names map[string]uint64
	if err := json.Unmarshal(text, &names); err != nil {
		t.Fatal(err)
	}
	if len(names) != int(Reasons) || names["runt frame"] != 1 || names["too big"] != 2 || names["IPv6"] != 0 {
		t.Errorf("%s", text)
	}
}

func TestNames(t *testing.T) {
	seen := map[string]Reason{}
	for r := range Reasons {
		name := r.String()
		if other, ok := seen[name]; ok || name == "" {
			t.Errorf("%d and %d are called %q", r, other, name)
		}
		seen[name] = r
	}
	if got := Reasons.String(); got != "invalid" {
		t.Errorf("one reason too many is called %q", got)
	}
}
