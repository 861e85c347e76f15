// Package sessions has tests that look at sessions from outside: with a peer of
// their own, which was written from the table of the frame header and shares no
// code with the project, they show tickets that are stolen, spent and forged,
// counts that are wrong, and more sessions than there is room for.
package sessions
