package container

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// loadService loads docker-compose.yml as `docker compose` would with env.
func loadService(t *testing.T, env ...string) types.ServiceConfig {
	t.Helper()
	options, err := cli.NewProjectOptions(
		[]string{filepath.Join(projectRoot, "docker-compose.yml")},
		cli.WithWorkingDirectory(projectRoot),
		cli.WithEnv(env),
	)
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if names := project.ServiceNames(); !slices.Equal(names, []string{"chat-demo"}) {
		t.Fatalf("the services are %q, want chat-demo alone", names)
	}
	return project.Services["chat-demo"]
}

func TestComposeBuildsTheProject(t *testing.T) {
	service := loadService(t)
	root, err := filepath.Abs(projectRoot)
	if err != nil {
		t.Fatal(err)
	}
	if service.Build == nil || service.Build.Context != root {
		t.Fatalf("the build is %+v, want the context %s", service.Build, root)
	}
	if service.Build.Dockerfile != "Dockerfile" {
		t.Errorf("the Dockerfile is %q", service.Build.Dockerfile)
	}
}

func TestComposePublishesBothDoors(t *testing.T) {
	published := map[string]uint32{}
	for _, port := range loadService(t).Ports {
		if port.Protocol != "tcp" || port.HostIP != "" {
			t.Errorf("port %+v, want TCP on every address", port)
		}
		published[port.Published] = port.Target
	}
	if len(published) != 2 || published["8080"] != 8080 || published["8888"] != 8888 {
		t.Errorf("published %v, want 8080 (web) and 8888 (TCP)", published)
	}
}

// The compose file says again what the image says, for those who read only one.
func TestComposeAgreesWithTheImage(t *testing.T) {
	service := loadService(t)
	image := imageSettings(t)
	if service.User != image.User {
		t.Errorf("the user is %q, the image's %q", service.User, image.User)
	}
	check := service.HealthCheck
	if check == nil || check.Disable || len(check.Test) == 0 || check.Test[0] != "CMD" {
		t.Fatalf("the health check is %+v, want a CMD", check)
	}
	if !slices.Equal(check.Test[1:], image.Healthcheck) {
		t.Errorf("the health check is %q, the image's %q", check.Test[1:], image.Healthcheck)
	}
	if len(service.Entrypoint) != 0 {
		t.Errorf("the entry point is %q, want the image's", service.Entrypoint)
	}
	if at := len(image.Cmd); len(service.Command) < at || !slices.Equal(service.Command[:at], image.Cmd) {
		t.Errorf("the command is %q, want it to begin as the image's, %q", service.Command, image.Cmd)
	}
}

func TestComposePassesThePassword(t *testing.T) {
	for password, env := range map[string][]string{"": nil, "x y": {"PASSWORD=x y"}} {
		command := loadService(t, env...).Command
		at := slices.Index(command, "-password")
		if at < 0 || at+1 >= len(command) || command[at+1] != password {
			t.Errorf("with %q the command is %q", env, command)
		}
	}
}

// The container is gone with every new image; what was said must not be.
func TestComposeKeepsTheData(t *testing.T) {
	service := loadService(t)
	at := slices.Index(service.Command, "-data")
	if at < 0 || at+1 >= len(service.Command) || service.Command[at+1] != "/data" {
		t.Errorf("the command is %q, want -data /data in it", service.Command)
	}
	if len(service.Volumes) != 1 {
		t.Fatalf("the volumes are %+v, want one", service.Volumes)
	}
	volume := service.Volumes[0]
	if volume.Type != types.VolumeTypeVolume || volume.Source == "" || volume.Target != "/data" || volume.ReadOnly {
		t.Errorf("the volume is %+v, want a named one at /data", volume)
	}
}

func TestComposeGivesNoRights(t *testing.T) {
	service := loadService(t)
	if service.Privileged || !service.ReadOnly || len(service.CapAdd) > 0 {
		t.Errorf("privileged %v, read only %v, capabilities %v", service.Privileged, service.ReadOnly, service.CapAdd)
	}
	if !slices.Equal(service.CapDrop, []string{"ALL"}) {
		t.Errorf("dropped capabilities %v, want ALL", service.CapDrop)
	}
}

// imageSettings reads the last stage's settings without building anything.
func imageSettings(t *testing.T) *Image {
	t.Helper()
	stages := readDockerfile(t)
	last := stages[len(stages)-1]
	image := &Image{Base: last.Base}
	settings := &stageRun{image: image, workdir: "/"}
	for _, in := range last.Instructions {
		if in.Keyword == "COPY" || in.Keyword == "RUN" || in.Keyword == "WORKDIR" {
			continue
		}
		if err := settings.do(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	return image
}
