package bolt

import (
	"os"
	"strings"
	"sync"
)

// bootID names the time since the machine was started; "" where that is not known.
var bootID = sync.OnceValue(func() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
})
