// Package sentinel runs the conformance suite of the store on a master and its replica, watched by three sentinels.
package sentinel
