package container

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseDockerfile(t *testing.T) {
	const text = `
# a comment
from one:1 AS first
RUN true \
    && true

FROM scratch
COPY --from=first /a /b
`
	got, err := ParseDockerfile(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []Stage{
		{Base: "one:1", Name: "first", Instructions: []Instruction{
			{Line: 4, Keyword: "RUN", Flags: map[string]string{}, Args: "true  && true"},
		}},
		{Base: "scratch", Instructions: []Instruction{
			{Line: 8, Keyword: "COPY", Flags: map[string]string{"from": "first"}, Args: "/a /b"},
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseDockerfileRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":       "# only a comment\n",
		"no FROM first": "RUN true\nFROM scratch\n",
		"FROM a flag":   "FROM --platform=linux/amd64 scratch\n",
		"FROM half":     "FROM scratch AS\n",
	} {
		t.Run(name, func(t *testing.T) {
			if stages, err := ParseDockerfile(strings.NewReader(text)); err == nil {
				t.Errorf("accepted: %+v", stages)
			}
		})
	}
}
