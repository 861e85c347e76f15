package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// The page is built by npm before the binary is. The folder itself is part of
// the project, so that the binary compiles, and says what is missing, without.
//
//go:embed all:ui/dist
var embedded embed.FS

var errNotBuilt = errors.New("the UI is not built; run `make build`")

// The types of everything a build can produce, so that they do not depend on
// the machine's own table.
var contentTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".map":   "application/json",
	".svg":   "image/svg+xml",
	".txt":   "text/plain; charset=utf-8",
	".woff2": "font/woff2",
}

// file is one file of the page, kept in memory. It serves itself.
type file struct {
	name        string
	contentType string
	etag        string
	body        []byte
}

// builtPage returns the files of the embedded page.
func builtPage() ([]file, error) {
	dist, err := fs.Sub(embedded, "ui/dist")
	if err != nil {
		return nil, err
	}
	return loadPage(dist)
}

// loadPage reads the files of a built page; hidden ones are none of it.
func loadPage(dist fs.FS) ([]file, error) {
	if _, err := fs.Stat(dist, "index.html"); err != nil {
		return nil, errNotBuilt
	}
	names, err := fs.Glob(dist, "[^.]*")
	if err != nil {
		return nil, err
	}
	files := make([]file, 0, len(names))
	for _, name := range names {
		body, err := fs.ReadFile(dist, name)
		if err != nil {
			return nil, fmt.Errorf("read the page: %w", err)
		}
		files = append(files, newFile(name, body))
	}
	return files, nil
}

func newFile(name string, body []byte) file {
	contentType, ok := contentTypes[path.Ext(name)]
	if !ok {
		contentType = "application/octet-stream"
	}
	return file{
		name:        name,
		contentType: contentType,
		etag:        fmt.Sprintf(`"%x"`, sha256.Sum256(body)),
		body:        body,
	}
}

// path is where the file is found: the index at the root, all else by name.
func (f file) path() string {
	return "/" + strings.TrimPrefix(f.name, "index.html")
}

// ServeHTTP answers with the file, or that what the browser has is current:
// names stay the same from build to build, so it has to ask each time.
func (f file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", f.contentType)
	header.Set("ETag", f.etag)
	header.Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(f.body))
}
