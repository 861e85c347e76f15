package contender

import (
	"os/exec"
	"syscall"
)

// endWithParent has a program killed when this one ends.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
