package container

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// An Image is what the last stage of a build leaves.
type Image struct {
	Root        string            // the folder that stands for its file system
	Owners      map[string]string // of what COPY --chown brought, by the path it went to
	Base        string
	User        string
	Exposed     []string
	Entrypoint  []string
	Cmd         []string
	Healthcheck []string
}

// A Builder carries out a Dockerfile's stages, each in a folder that stands for
// its file system. The tools of the base images are those of this machine.
type Builder struct {
	Context *Context
	Folder  string    // an empty folder; the caller removes it
	Log     io.Writer // gets the RUN lines, how long each took, and their output

	roots map[string]string // by stage name
}

// Build carries out all stages in order and returns the last one's image.
func (b *Builder) Build(ctx context.Context, stages []Stage) (*Image, error) {
	b.roots = map[string]string{}
	var image *Image
	for i, s := range stages {
		name := s.Name
		if name == "" {
			name = fmt.Sprint(i)
		}
		root := filepath.Join(b.Folder, name)
		if err := os.Mkdir(root, 0o755); err != nil {
			return nil, fmt.Errorf("make the folder of stage %s: %w", name, err)
		}
		b.roots[name] = root
		image = &Image{Root: root, Base: s.Base, Owners: map[string]string{}}
		run := &stageRun{builder: b, image: image, workdir: "/"}
		for _, in := range s.Instructions {
			if err := run.do(ctx, in); err != nil {
				return nil, err
			}
		}
	}
	return image, nil
}

// stageRun is the state that one stage's instructions change.
type stageRun struct {
	builder *Builder
	image   *Image
	workdir string // as the Dockerfile names it, absolute
	env     []string
}

func (s *stageRun) do(ctx context.Context, in Instruction) (err error) {
	switch in.Keyword {
	case "WORKDIR":
		s.workdir = s.absolute(in.Args)
		return os.MkdirAll(s.hostPath(s.workdir), 0o755)
	case "COPY":
		return s.copy(in)
	case "RUN":
		return s.run(ctx, in)
	case "ENV":
		return s.setenv(in)
	case "USER":
		s.image.User = in.Args
	case "EXPOSE":
		s.image.Exposed = append(s.image.Exposed, strings.Fields(in.Args)...)
	case "ENTRYPOINT":
		s.image.Entrypoint, err = in.exec(in.Args)
	case "CMD":
		s.image.Cmd, err = in.exec(in.Args)
	case "HEALTHCHECK":
		s.image.Healthcheck, err = healthcheck(in)
	default:
		err = in.errorf("this instruction is not known here")
	}
	return err
}

func (s *stageRun) setenv(in Instruction) error {
	for _, pair := range strings.Fields(in.Args) {
		if !strings.Contains(pair, "=") || strings.ContainsAny(pair, `$"'\`) {
			return in.errorf("want NAME=value without quotes and variables")
		}
		s.env = append(s.env, pair)
	}
	return nil
}

func (s *stageRun) copy(in Instruction) error {
	if err := in.onlyFlags("from", "chown"); err != nil {
		return err
	}
	owner, owned := in.Flags["chown"]
	if owned && !numericOwner.MatchString(owner) {
		return in.errorf("want an owner in numbers: scratch knows no names")
	}
	fields := strings.Fields(in.Args)
	if len(fields) < 2 || strings.ContainsAny(in.Args, `*?["$`) {
		return in.errorf("want plain sources and a destination")
	}
	sources, to := fields[:len(fields)-1], fields[len(fields)-1]
	intoFolder := strings.HasSuffix(to, "/") || to == "."
	if len(sources) > 1 && !intoFolder {
		return in.errorf("the destination of several sources must end with /")
	}
	from := s.builder.Context
	if stage, ok := in.Flags["from"]; ok {
		root, known := s.builder.roots[stage]
		if !known || root == s.image.Root {
			return in.errorf("there is no stage %q before this one", stage)
		}
		from = &Context{Root: root}
	}
	for _, source := range sources {
		if err := from.copy(source, s.hostPath(s.absolute(to)), intoFolder); err != nil {
			return in.errorf("%v", err)
		}
	}
	if owned {
		s.image.Owners[s.absolute(to)] = owner
	}
	return nil
}

// numericOwner is a user and a group, as COPY --chown takes them.
var numericOwner = regexp.MustCompile(`^\d+:\d+$`)

// absolutePath finds a path that would leave the stage's folder.
var absolutePath = regexp.MustCompile(`(^|[\s"'=:,;&|(<>])[/~]`)

func (s *stageRun) run(ctx context.Context, in Instruction) error {
	if err := in.onlyFlags(); err != nil {
		return err
	}
	if absolutePath.MatchString(in.Args) || strings.Contains(in.Args, "..") {
		return in.errorf("only paths below WORKDIR can be carried out here")
	}
	began := time.Now()
	cmd := exec.CommandContext(ctx, "sh", "-c", in.Args)
	cmd.Dir = s.hostPath(s.workdir)
	cmd.Env = append(os.Environ(), append(s.env, "PWD="+cmd.Dir)...)
	cmd.Stdout, cmd.Stderr = s.builder.Log, s.builder.Log
	if err := cmd.Run(); err != nil {
		return in.errorf("%v", err)
	}
	fmt.Fprintf(s.builder.Log, "RUN %s: %.1f s\n", in.Args, time.Since(began).Seconds())
	return nil
}

func healthcheck(in Instruction) ([]string, error) {
	if err := in.onlyFlags("interval", "timeout", "start-period", "retries"); err != nil {
		return nil, err
	}
	args, ok := strings.CutPrefix(in.Args, "CMD ")
	if !ok {
		return nil, in.errorf("want HEALTHCHECK CMD")
	}
	return in.exec(args)
}

// absolute resolves a path of the Dockerfile against WORKDIR.
func (s *stageRun) absolute(p string) string {
	if path.IsAbs(p) {
		return path.Clean(p)
	}
	return path.Join(s.workdir, p)
}

// hostPath is where an absolute path of the stage lies on this machine.
func (s *stageRun) hostPath(p string) string {
	return filepath.Join(s.image.Root, filepath.FromSlash(p))
}
