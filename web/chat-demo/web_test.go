package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

// testRouter serves a small page; its WebSocket door panics, the one for calls
// tells the path.
func testRouter(t *testing.T) http.Handler {
	t.Helper()
	page, err := loadPage(fstest.MapFS{
		"index.html":  {Data: []byte("<!doctype html>")},
		"app.js":      {Data: []byte("let x")},
		"strange.bin": {Data: []byte{1}},
		".gitignore":  {Data: []byte("*")},
	})
	if err != nil {
		t.Fatal(err)
	}
	webSocket := func(http.ResponseWriter, *http.Request) { panic("at the door") }
	calls := func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Type", "x"+r.URL.Path) }
	return newRouter(page, http.HandlerFunc(webSocket), http.HandlerFunc(calls))
}

func request(router http.Handler, method, path string, header http.Header) *http.Response {
	req := httptest.NewRequest(method, path, http.NoBody)
	for name, values := range header {
		req.Header[name] = values
	}
	recorder := httptest.NewRecorder()
	router.ServeHTTP(recorder, req)
	return recorder.Result()
}

func TestRouter(t *testing.T) {
	router := testRouter(t)
	tests := []struct {
		method, path string
		status       int
		contentType  string
	}{
		{http.MethodGet, "/", http.StatusOK, "text/html; charset=utf-8"},
		{http.MethodHead, "/app.js", http.StatusOK, "text/javascript; charset=utf-8"},
		{http.MethodGet, "/strange.bin", http.StatusOK, "application/octet-stream"},
		{http.MethodGet, "/.gitignore", http.StatusNotFound, "text/plain"},
		{http.MethodGet, "/../main.go", http.StatusNotFound, "text/plain"},
		{http.MethodPost, "/", http.StatusMethodNotAllowed, "text/plain"},
		{http.MethodPost, "/call/chat/enter", http.StatusOK, "x/call/chat/enter"},
		{http.MethodGet, "/call/chat/enter", http.StatusMethodNotAllowed, "text/plain"},
		{http.MethodGet, "/ws", http.StatusInternalServerError, ""},
	}
	for _, tt := range tests {
		res := request(router, tt.method, tt.path, nil)
		if res.StatusCode != tt.status || res.Header.Get("Content-Type") != tt.contentType {
			t.Errorf("%s %s: %s, %q", tt.method, tt.path, res.Status, res.Header.Get("Content-Type"))
		}
		policy := res.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "trusted-types 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s %s: content security policy %q", tt.method, tt.path, policy)
		}
		if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s %s: headers %v", tt.method, tt.path, res.Header)
		}
	}
}

func TestRevalidation(t *testing.T) {
	router := testRouter(t)
	first := request(router, http.MethodGet, "/app.js", nil)
	if first.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("cache control %q", first.Header.Get("Cache-Control"))
	}
	known := http.Header{"If-None-Match": {first.Header.Get("ETag")}}
	again := request(router, http.MethodGet, "/app.js", known)
	if body, _ := io.ReadAll(again.Body); again.StatusCode != http.StatusNotModified || len(body) != 0 {
		t.Errorf("asked again: %s with %d bytes", again.Status, len(body))
	}
	if other := request(router, http.MethodGet, "/", known); other.StatusCode != http.StatusOK {
		t.Errorf("another file with the same tag: %s", other.Status)
	}
}

func TestPageMustBeBuilt(t *testing.T) {
	_, err := loadPage(fstest.MapFS{".gitignore": {Data: []byte("*")}})
	if err != errNotBuilt {
		t.Errorf("got %v, want %v", err, errNotBuilt)
	}
}

func TestReachable(t *testing.T) {
	listener, err := listen("-http", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := strings.Cut(listener.Addr().String(), ":")
	tests := map[string]string{
		"localhost:0":      "localhost:" + port,
		":0":               "localhost:" + port,
		"0.0.0.0:0":        "localhost:" + port,
		"[::]:0":           "localhost:" + port,
		"[::1]:0":          "[::1]:" + port,
		"192.0.2.1:0":      "192.0.2.1:" + port,
		"chat.example:80":  "chat.example:" + port,
		"127.0.0.1:8080":   "127.0.0.1:" + port,
		"[fe80::1%eth0]:0": "[fe80::1%eth0]:" + port,
	}
	for addr, want := range tests {
		if got := reachable(addr, listener); got != want {
			t.Errorf("%s is reachable at %s, want %s", addr, got, want)
		}
	}
}
