package container

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// buildText builds a Dockerfile in a context of three files: a.txt, sub/b.txt
// and secret.txt, of which .dockerignore leaves out the last.
func buildText(t *testing.T, dockerfile string) (*Image, error) {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		".dockerignore": "secret.txt\n**/gone\n",
		"a.txt":         "a",
		"sub/b.txt":     "b",
		"sub/gone/c":    "c",
		"secret.txt":    "s",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	buildContext, err := NewContext(root)
	if err != nil {
		t.Fatal(err)
	}
	stages, err := ParseDockerfile(strings.NewReader(dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	builder := Builder{Context: buildContext, Folder: t.TempDir(), Log: io.Discard}
	return builder.Build(t.Context(), stages)
}

func TestBuild(t *testing.T) {
	image, err := buildText(t, `
FROM any AS build
WORKDIR /src
ENV GREETING=hello
COPY a.txt renamed.txt
COPY a.txt sub/b.txt into/
COPY . .
RUN mkdir empty
RUN cat renamed.txt into/a.txt into/b.txt sub/b.txt > all.txt && printf %s "$GREETING" >> all.txt
FROM scratch
COPY --from=build /src /
COPY --from=build --chown=7:8 /src/empty /owned/
USER 1000
EXPOSE 80 81
HEALTHCHECK --interval=1s CMD ["/probe"]
ENTRYPOINT ["/main"]
CMD ["-x", "1"]
`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(image.Root, "all.txt")); string(got) != "aabbhello" {
		t.Errorf("all.txt holds %q, %v", got, err)
	}
	for _, folder := range []string{"empty", "owned"} {
		if entries, err := os.ReadDir(filepath.Join(image.Root, folder)); err != nil || len(entries) > 0 {
			t.Errorf("%s holds %v, %v; want an empty folder", folder, entries, err)
		}
	}
	if len(image.Owners) != 1 || image.Owners["/owned"] != "7:8" {
		t.Errorf("the owners are %v, want 7:8 of /owned", image.Owners)
	}
	for _, ignored := range []string{"secret.txt", "sub/gone"} {
		if _, err := os.Stat(filepath.Join(image.Root, ignored)); err == nil {
			t.Errorf("%s came along in spite of .dockerignore", ignored)
		}
	}
	got := strings.Join([]string{
		image.Base, image.User, strings.Join(image.Exposed, "+"),
		strings.Join(image.Healthcheck, "+"), strings.Join(image.Entrypoint, "+"), strings.Join(image.Cmd, "+"),
	}, " ")
	if want := "scratch 1000 80+81 /probe /main -x+1"; got != want {
		t.Errorf("the image says %q, want %q", got, want)
	}
}

func TestBuildRefuses(t *testing.T) {
	for name, instruction := range map[string]string{
		"a command that fails":       "RUN false",
		"a path out of the stage":    "RUN touch /tmp/x",
		"a home folder":              "RUN ls ~",
		"a parent folder":            "RUN ls ../x",
		"a mount":                    "RUN --mount=type=cache,target=x true",
		"a missing file":             "COPY nowhere.txt .",
		"an ignored file":            "COPY secret.txt .",
		"a file outside the context": "COPY ../../etc/passwd .",
		"an unknown stage":           "COPY --from=nobody /x /x",
		"its own stage":              "COPY --from=0 /x /x",
		"a wildcard":                 "COPY *.txt .",
		"several into one":           "COPY a.txt sub/b.txt c.txt",
		"an owner by name":           "COPY --chown=me:us a.txt .",
		"a variable":                 "ENV A=$B",
		"the shell form":             "CMD run me",
		"no health check":            "HEALTHCHECK NONE",
		"an unknown instruction":     "ADD a.txt .",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := buildText(t, "FROM any\n"+instruction+"\n"); err == nil {
				t.Errorf("%s was accepted", instruction)
			} else if !strings.Contains(err.Error(), "line 2") {
				t.Errorf("the error does not name the line: %v", err)
			}
		})
	}
}
