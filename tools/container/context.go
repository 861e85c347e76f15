package container

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// A Context is a folder that COPY takes from: the build context without what
// .dockerignore names, or all of an earlier stage.
type Context struct {
	Root   string
	ignore *patternmatcher.PatternMatcher // nil ignores nothing
}

// NewContext makes the build context of the folder root by its .dockerignore,
// matched as Docker matches it.
func NewContext(root string) (*Context, error) {
	file, err := os.Open(filepath.Join(root, ".dockerignore"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("read .dockerignore: %w", err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, fmt.Errorf("parse .dockerignore: %w", err)
	}
	return &Context{Root: root, ignore: matcher}, nil
}

// copy copies source, a path below the root, to the path to on this machine. Of
// a folder it copies the contents; empty folders only from a stage, because a clean
// clone has none. A file goes into the folder to when
// intoFolder is set, else it gets the name to. It fails when nothing is left to
// copy, and on anything but files and folders.
func (c *Context) copy(source, to string, intoFolder bool) error {
	from := filepath.Join(c.Root, filepath.Clean("/"+source))
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if !info.IsDir() && intoFolder {
		to = filepath.Join(to, filepath.Base(from))
	}
	copied := 0
	err = filepath.WalkDir(from, func(p string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		ignored, err := c.ignores(p)
		switch {
		case err != nil:
			return err
		case ignored && entry.IsDir() && !c.returnsBelow(p):
			return filepath.SkipDir
		case ignored || entry.IsDir() && c.ignore != nil:
			return nil
		}
		copied++
		target := filepath.Join(to, strings.TrimPrefix(p, from))
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		return copyFile(p, target)
	})
	if err == nil && copied == 0 {
		return fmt.Errorf("%s has no file, or .dockerignore leaves none", source)
	}
	return err
}

func (c *Context) ignores(p string) (bool, error) {
	if c.ignore == nil || p == c.Root {
		return false, nil
	}
	name, err := filepath.Rel(c.Root, p)
	if err != nil {
		return false, err
	}
	return c.ignore.MatchesOrParentMatches(name)
}

// returnsBelow reports whether a !pattern could bring back something below the
// ignored folder p, by the rule Docker has: the pattern begins with its path.
func (c *Context) returnsBelow(p string) bool {
	folder := filepath.ToSlash(strings.TrimPrefix(p, c.Root+string(filepath.Separator))) + "/"
	return slices.ContainsFunc(c.ignore.Patterns(), func(pattern *patternmatcher.Pattern) bool {
		return pattern.Exclusion() && strings.HasPrefix(filepath.ToSlash(pattern.String())+"/", folder)
	})
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", from)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
