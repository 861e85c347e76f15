// Package middleware has middleware for the routes of an arpc.Handler: who may
// call, how often, what is logged, and an orderly end. What measures is in the
// packages below it, so that its libraries weigh on nobody else.
package middleware
