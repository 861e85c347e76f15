package main

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-fbfaa03e/arpc"
)

// What a name, a text and a room may be. The page mends what a person typed
// before it sends it, so what breaks these rules comes from something else.
// ui/src/rules.ts has the same rules, and both read testdata/rules.json.
const (
	maxName = 40   // code points
	maxText = 2000 // code points
	maxID   = 64   // bytes
)

var (
	roomName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}\z`)
	// Hexadecimal or the like, and long enough that nobody guesses another's.
	secretShape = regexp.MustCompile(`^[0-9A-Za-z_-]{16,64}\z`)
)

func checkRoom(room string) error {
	if !roomName.MatchString(room) {
		return arpc.Errorf(arpc.CodeInvalidArgument, "a room is called with 1 to 32 of a-z, 0-9 and, not first, hyphens")
	}
	return nil
}

// checkName refuses what would not stay on its one line: control and format
// characters, but for the joiners that hold emoji and Persian words together.
func checkName(name string) error {
	if err := checkLength("name", name, maxName); err != nil {
		return err
	}
	for _, r := range name {
		if unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d' {
			return arpc.Errorf(arpc.CodeInvalidArgument, "the name has the character %U in it", r)
		}
	}
	if strings.Join(strings.Fields(name), " ") != name {
		return arpc.Errorf(arpc.CodeInvalidArgument, "the name has blank space it does not need")
	}
	return checkVisible("name", name)
}

// checkText takes line breaks and tabs, and no other control character.
func checkText(text string) error {
	if err := checkLength("text", text, maxText); err != nil {
		return err
	}
	for _, r := range text {
		if unicode.Is(unicode.Cc, r) && r != '\n' && r != '\t' {
			return arpc.Errorf(arpc.CodeInvalidArgument, "the text has the character %U in it", r)
		}
	}
	if strings.TrimSpace(text) != text {
		return arpc.Errorf(arpc.CodeInvalidArgument, "the text has blank space around it")
	}
	return checkVisible("text", text)
}

func checkID(id string) error {
	if id == "" || len(id) > maxID || !utf8.ValidString(id) {
		return arpc.Errorf(arpc.CodeInvalidArgument, "the id has %d bytes, want 1 to %d", len(id), maxID)
	}
	return nil
}

func checkLength(what, s string, limit int) error {
	if !utf8.ValidString(s) {
		return arpc.Errorf(arpc.CodeInvalidArgument, "the %s is not UTF-8", what)
	}
	if n := utf8.RuneCountInString(s); n > limit {
		return arpc.Errorf(arpc.CodeInvalidArgument, "the %s has %d characters, limit %d", what, n, limit)
	}
	return nil
}

func checkVisible(what, s string) error {
	if !strings.ContainsFunc(s, isVisible) {
		return arpc.Errorf(arpc.CodeInvalidArgument, "nothing of the %s would be seen", what)
	}
	return nil
}

func isVisible(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S)
}
