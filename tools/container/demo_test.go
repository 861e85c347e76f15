package container

import (
	"bufio"
	"debug/buildinfo"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const projectRoot = "../.."

// TestDockerfile builds the project's image and starts what it would start.
func TestDockerfile(t *testing.T) {
	image := buildProject(t)

	if image.Base != "scratch" {
		t.Errorf("the image starts from %q, want scratch", image.Base)
	}
	if !regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`).MatchString(image.User) {
		t.Errorf("the user is %q, want numbers other than root's", image.User)
	}
	if want := []string{"8080", "8888"}; !slices.Equal(image.Exposed, want) {
		t.Errorf("the exposed ports are %q, want %q", image.Exposed, want)
	}
	for flag, address := range map[string]string{"-http": "0.0.0.0:8080", "-tcp": "0.0.0.0:8888"} {
		if at := slices.Index(image.Cmd, flag); at < 0 || at+1 == len(image.Cmd) || image.Cmd[at+1] != address {
			t.Errorf("the command is %q, want %s %s in it", image.Cmd, flag, address)
		}
	}
	program := programIn(t, image)
	if got := "/" + filepath.Base(program); len(image.Entrypoint) != 1 || image.Entrypoint[0] != got {
		t.Errorf("the entry point is %q, want %q", image.Entrypoint, got)
	}
	assertStatic(t, program)
	assertServes(t, image, program)
}

func readDockerfile(t *testing.T) []Stage {
	t.Helper()
	file, err := os.Open(filepath.Join(projectRoot, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	stages, err := ParseDockerfile(file)
	if err != nil {
		t.Fatal(err)
	}
	return stages
}

func buildProject(t *testing.T) *Image {
	t.Helper()
	root, err := filepath.Abs(projectRoot)
	if err != nil {
		t.Fatal(err)
	}
	buildContext, err := NewContext(root)
	if err != nil {
		t.Fatal(err)
	}
	builder := Builder{Context: buildContext, Folder: t.TempDir(), Log: t.Output()}
	image, err := builder.Build(t.Context(), readDockerfile(t))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// programIn holds the image to one file, the program, and the empty folder of its
// data, which has to be the user's to write to. It returns the program's path here.
func programIn(t *testing.T, image *Image) string {
	t.Helper()
	entries, err := os.ReadDir(image.Root) // by name
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 || !entries[0].Type().IsRegular() || !entries[1].IsDir() || entries[1].Name() != "data" {
		t.Fatalf("the image holds %v, want the program and data", entries)
	}
	if data, err := os.ReadDir(filepath.Join(image.Root, "data")); err != nil || len(data) > 0 {
		t.Errorf("/data holds %v, %v; want nothing", data, err)
	}
	if owner := image.Owners["/data"]; owner != image.User {
		t.Errorf("/data is of %q, want the user %q", owner, image.User)
	}
	return filepath.Join(image.Root, entries[0].Name())
}

// assertStatic: without cgo the program needs no library, of which scratch has none.
func assertStatic(t *testing.T, program string) {
	t.Helper()
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range info.Settings {
		if setting.Key == "CGO_ENABLED" && setting.Value == "0" {
			return
		}
	}
	t.Error("the program was built with cgo")
}

// assertServes starts the program with the image's command, on free ports, and
// asks the image's health check about it, while it runs and when it has ended.
func assertServes(t *testing.T, image *Image, program string) {
	t.Helper()
	args := slices.Clone(image.Cmd)
	for i := range args {
		args[i] = regexp.MustCompile(`^0\.0\.0\.0:\d+$`).ReplaceAllString(args[i], "127.0.0.1:0")
	}
	server := exec.CommandContext(t.Context(), program, args...)
	output, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	server.Stderr = server.Stdout
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	host := printedHost(t, output)

	if err := healthOf(t, image, program, host); err != nil {
		t.Errorf("the health check of the running demo: %v", err)
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("SIGTERM ended the demo with %v, want status 0", err)
	}
	if err := healthOf(t, image, program, host); err == nil {
		t.Error("the health check is content with a demo that has ended")
	}
}

// printedHost waits for the URL that the demo prints, returns its host and port,
// and goes on reading so that the demo never blocks on its output.
func printedHost(t *testing.T, output io.Reader) string {
	t.Helper()
	pattern := regexp.MustCompile(`https?://[^\s"/]+`)
	var seen strings.Builder
	for lines := bufio.NewScanner(output); lines.Scan(); {
		seen.WriteString(lines.Text() + "\n")
		if found := pattern.FindString(lines.Text()); found != "" {
			go io.Copy(io.Discard, output)
			at, err := url.Parse(found)
			if err != nil {
				t.Fatal(err)
			}
			return at.Host
		}
	}
	t.Fatalf("the demo ended without printing its URL:\n%s", seen.String())
	return ""
}

// healthOf runs the image's health check against the demo at host.
func healthOf(t *testing.T, image *Image, program, host string) error {
	t.Helper()
	if len(image.Healthcheck) == 0 || image.Healthcheck[0] != image.Entrypoint[0] {
		t.Fatalf("the health check is %q, want it to be the program's own", image.Healthcheck)
	}
	args := slices.Clone(image.Healthcheck[1:])
	for i := range args {
		args[i] = strings.Replace(args[i], "127.0.0.1:8080", host, 1)
	}
	if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasSuffix(arg, "://"+host+"/healthz") }) {
		t.Fatalf("the health check is %q, want it to ask /healthz on 127.0.0.1:8080", image.Healthcheck)
	}
	return exec.CommandContext(t.Context(), program, args...).Run()
}

// TestBaseImages holds the tags to the versions that go.mod and package.json name.
func TestBaseImages(t *testing.T) {
	versionIn := func(file, pattern string) string {
		text, err := os.ReadFile(filepath.Join(projectRoot, file))
		if err != nil {
			t.Fatal(err)
		}
		match := regexp.MustCompile(pattern).FindSubmatch(text)
		if match == nil {
			t.Fatalf("%s does not match %s", file, pattern)
		}
		return string(match[1])
	}
	stages := readDockerfile(t)
	for image, version := range map[string]string{
		"golang": versionIn("go.mod", `(?m)^go (\d+\.\d+)`),
		"node":   versionIn("package.json", `"node": ">=(\d+)`),
	} {
		want := image + ":" + version + "-alpine"
		if !slices.ContainsFunc(stages, func(s Stage) bool { return s.Base == want }) {
			t.Errorf("no stage starts from %s", want)
		}
	}
}
