// Package container proves the project's container files without a container
// engine: it carries out the Dockerfile's build in temporary folders, and its
// tests read the compose file with the compose specification's own loader.
//
// It knows as much of the Dockerfile language as the Dockerfile uses, and
// refuses the rest with the line's number instead of guessing.
package container

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// An Instruction is one line of a Dockerfile, continuations joined.
type Instruction struct {
	Line    int    // where it begins, from 1
	Keyword string // upper case
	Flags   map[string]string
	Args    string // what follows the flags
}

// A Stage is a FROM and the instructions up to the next.
type Stage struct {
	Base         string // the image it starts from, with its tag
	Name         string // after AS; "" for none
	Instructions []Instruction
}

// ParseDockerfile splits a Dockerfile into its stages.
func ParseDockerfile(r io.Reader) ([]Stage, error) {
	var stages []Stage
	scanner := bufio.NewScanner(r)
	for number := 1; scanner.Scan(); number++ {
		line, begin := strings.TrimSpace(scanner.Text()), number
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for strings.HasSuffix(line, `\`) && scanner.Scan() {
			number++
			line = strings.TrimSuffix(line, `\`) + " " + strings.TrimSpace(scanner.Text())
		}
		in := parseInstruction(begin, line)
		if in.Keyword == "FROM" {
			stage, err := parseFrom(in)
			if err != nil {
				return nil, err
			}
			stages = append(stages, stage)
			continue
		}
		if len(stages) == 0 {
			return nil, in.errorf("comes before the first FROM")
		}
		last := &stages[len(stages)-1]
		last.Instructions = append(last.Instructions, in)
	}
	if len(stages) == 0 && scanner.Err() == nil {
		return nil, fmt.Errorf("the Dockerfile has no FROM")
	}
	return stages, scanner.Err()
}

func parseInstruction(number int, line string) Instruction {
	keyword, rest, _ := strings.Cut(line, " ")
	in := Instruction{Line: number, Keyword: strings.ToUpper(keyword), Flags: map[string]string{}}
	rest = strings.TrimSpace(rest)
	for strings.HasPrefix(rest, "--") {
		flag, after, _ := strings.Cut(rest, " ")
		name, value, _ := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
		in.Flags[name] = value
		rest = strings.TrimSpace(after)
	}
	in.Args = rest
	return in
}

func parseFrom(in Instruction) (Stage, error) {
	fields := strings.Fields(in.Args)
	switch {
	case len(in.Flags) > 0:
	case len(fields) == 1:
		return Stage{Base: fields[0]}, nil
	case len(fields) == 3 && strings.EqualFold(fields[1], "AS"):
		return Stage{Base: fields[0], Name: fields[2]}, nil
	}
	return Stage{}, in.errorf("want FROM image or FROM image AS name")
}

// exec reads the exec form, a JSON array of strings. The shell form is refused:
// an image without a shell could not run it.
func (in Instruction) exec(args string) ([]string, error) {
	var words []string
	if err := json.Unmarshal([]byte(args), &words); err != nil || len(words) == 0 {
		return nil, in.errorf("want the exec form, a JSON array of words")
	}
	return words, nil
}

// onlyFlags fails on a flag that is not among names.
func (in Instruction) onlyFlags(names ...string) error {
	for flag := range in.Flags {
		known := false
		for _, name := range names {
			known = known || name == flag
		}
		if !known {
			return in.errorf("--%s is not known here", flag)
		}
	}
	return nil
}

func (in Instruction) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: %s %s: %s", in.Line, in.Keyword, in.Args, fmt.Sprintf(format, args...))
}
