package main

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// The page needs its own origin for what is listed, and nothing else: no inline
// script or style, no frame around it, no plug-in. Nowhere in it does a string
// become markup or code, so that is forbidden as well. 'self' covers its
// WebSocket too.
var contentSecurityPolicy = strings.Join([]string{
	"default-src 'none'",
	"base-uri 'none'",
	"connect-src 'self'",
	"font-src 'self'",
	"form-action 'self'",
	"frame-ancestors 'none'",
	"img-src 'self'",
	"require-trusted-types-for 'script'",
	"script-src 'self'",
	"style-src 'self'",
	"trusted-types 'none'",
}, "; ")

// newWebServer returns the HTTP side: the page, its health, the WebSocket door and
// the one for calls. Each phase of a request has its deadline; the doors set their
// own, once a connection is upgraded or a call begins.
func newWebServer(page []file, webSocket, calls http.Handler) *http.Server {
	return &http.Server{
		Handler:           newRouter(page, webSocket, calls),
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
}

func newRouter(page []file, webSocket, calls http.Handler) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	// Gin looks at nobody's address: the doors know which proxy to believe.
	_ = router.SetTrustedProxies(nil) // fails for addresses only
	router.HandleMethodNotAllowed = true
	router.Use(gin.CustomRecoveryWithWriter(nil, answerPanic), setSecurityHeaders)

	for _, f := range page {
		router.Match([]string{http.MethodGet, http.MethodHead}, f.path(), gin.WrapH(f))
	}
	router.GET("/healthz", func(c *gin.Context) {
		c.Header("Cache-Control", "no-store")
		c.JSON(http.StatusOK, gin.H{"status": "ok"})
	})
	router.GET("/ws", gin.WrapH(webSocket))
	router.POST("/call/*method", gin.WrapH(calls))
	return router
}

func setSecurityHeaders(c *gin.Context) {
	c.Header("Content-Security-Policy", contentSecurityPolicy)
	c.Header("Cross-Origin-Opener-Policy", "same-origin")
	c.Header("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	c.Header("Referrer-Policy", "same-origin")
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("X-Frame-Options", "DENY")
}

func answerPanic(c *gin.Context, reason any) {
	slog.Error("a request panicked", "path", c.Request.URL.Path, "reason", reason)
	c.AbortWithStatus(http.StatusInternalServerError)
}
