/*
 * file - paths, file: URIs, and files that are only read.
 *
 * What a user names may be a pipe, a device or gone in the next moment: a
 * file is opened without blocking, looked at through its descriptor, and
 * refused unless it is regular.  A document's URI is its canonical path
 * (symbolic links of the folder resolved), percent-encoded after RFC 3986,
 * so that one file has one name however it was reached.  Bytes that come
 * from elsewhere (a download, standard input) are put into an anonymous file
 * in memory, so that everything behind sees a descriptor.  Reentrant.
 */
#ifndef RAG_BASE_FILE_H
#define RAG_BASE_FILE_H

#include "base/buf.h"
#include "base/hash.h"
#include "base/progress.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum file_type { FILE_REGULAR, FILE_FOLDER, FILE_OTHER };

struct file_info {
	enum file_type type;
	uint64_t size;
	int64_t mtime;		/* nanoseconds since 1970 */
	uint64_t dev, ino;
	const char *what;	/* "a folder", "a device", "a pipe", "a socket"; static */
};

/* Follows symbolic links.  RAG_ENOENT; RAG_EDENIED: no permission; RAG_EIO. */
int file_info(struct file_info *out, const char *path);
/* Opens a regular file for reading; never waits for a pipe's writer.
 * RAG_EINVAL for what is none ("not a regular file: '/dev/zero' is a device"). */
int file_open(int *fd, struct file_info *out, const char *path);
int file_info_fd(struct file_info *out, int fd);

/* The absolute path without links, "." and "..": the caller frees *out by mem_free(). */
int file_canonical(char **out, const char *path);
/* Appends "file:///..." for an absolute path. */
int file_uri(struct buf *out, const char *path);
/* The path of a file: URI.  RAG_EINVAL: another host, a bad escape or a NUL. */
int file_from_uri(char **out, const char *uri);

/* Makes the folders above path that are missing (mode 0700: what is inside is
 * the user's own business).  RAG_EIO, RAG_EDENIED. */
int file_make_parents(const char *path);

/* The names in a folder without "." and "..", in byte order. */
struct file_names {
	char **v;	/* owned (n) */
	size_t n, cap;
};
int file_names(struct file_names *out, const char *dir);
void file_names_release(struct file_names *f);	/* zeroed is allowed */

/* An anonymous file in memory, for reading and writing; what: for people who
 * look into /proc.  It can be sealed against changes. */
int file_memory(int *fd, const char *what);
int file_write(int fd, const void *p, size_t n);	/* all of it, or RAG_EIO / RAG_EFULL */
/* No change of content or size from here on; RAG_EIO if somebody still has it
 * mapped for writing. */
int file_seal(int fd);
/* Copies from a pipe, terminal or file until its end; RAG_ELIMIT beyond max
 * bytes, RAG_ECANCEL within 0.1 s.  what: for messages. */
int file_drain(int to, int from, uint64_t max, const char *what, const struct progress *p);

/* BLAKE2b-256 of what fd (seekable) holds from its beginning; its offset is
 * left alone.  *size: bytes read. */
int file_hash(uint8_t out[HASH_LEN], uint64_t *size, int fd, const char *what,
	      const struct progress *p);
void file_close(int fd);	/* < 0 is allowed */

#endif
