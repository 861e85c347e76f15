package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/server"
)

// The door for calls over HTTP mounts in gin in one line, as docs/http.md has it.
func TestCallsOverHTTPMountInGin(t *testing.T) {
	s := server.New()
	defer func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	s.Handler.Handle("/hello", func(ctx *arpc.Context) { _ = ctx.Write("hello, " + string(ctx.Body())) })
	gin.SetMode(gin.TestMode)
	router := gin.New()
	calls := http.StripPrefix("/call", s.HTTP())
	router.POST("/call/*method", gin.WrapH(calls))
	web := httptest.NewServer(router)
	defer web.Close()

	answer, err := http.Post(web.URL+"/call/hello", "application/json", strings.NewReader(`"Ada"`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || string(body) != `"hello, Ada"` {
		t.Errorf("got %s, %v", body, err)
	}
}
