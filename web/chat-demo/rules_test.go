package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
)

// TestRules reads the cases that the page reads too: what the page hands over,
// the server takes.
func TestRules(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/rules.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string]struct{ Valid, Invalid []string }
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	checks := map[string]func(string) error{"names": checkName, "texts": checkText, "rooms": checkRoom}
	if len(cases) != len(checks) {
		t.Errorf("%d kinds of cases, want %d", len(cases), len(checks))
	}
	for kind, check := range checks {
		for _, s := range cases[kind].Valid {
			if err := check(s); err != nil {
				t.Errorf("%s %q: %v", kind, s, err)
			}
		}
		for _, s := range cases[kind].Invalid {
			if err := check(s); arpc.CodeOf(err) != arpc.CodeInvalidArgument {
				t.Errorf("%s %q: %v, want invalid_argument", kind, s, err)
			}
		}
	}
}

func TestRulesOfBytes(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"\xff", "a\xc3", strings.Repeat("é", maxText) + "\x80"} {
		if checkName(s) == nil || checkText(s) == nil || checkID(s) == nil {
			t.Errorf("%.10q is taken, though it is no UTF-8", s)
		}
	}
	for _, id := range []string{"", strings.Repeat("x", maxID+1)} {
		if checkID(id) == nil {
			t.Errorf("an id of %d bytes is taken", len(id))
		}
	}
	if err := checkText(strings.Repeat("é", maxText)); err != nil {
		t.Errorf("the longest text: %v", err)
	}
}
