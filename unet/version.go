package unet

// Version is the version of this source; "-dev" at its end says that it is on the way to that version. A program that was
// built from a module's release finds the exact one, with its checksum, in debug.ReadBuildInfo.
const Version = "0.1.0-dev"
