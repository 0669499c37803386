/*
 * ignore - which files of a folder are meant to be read.
 *
 * Patterns of .gitignore and .ragstoneignore, as gitignore(5) has them: a
 * line a pattern, '#' a comment, '!' takes one back, a '/' at the end means
 * folders alone, a '/' elsewhere ties it to the folder of the file, the last
 * match decides, deeper files decide over higher ones.  The same patterns
 * serve --include and --exclude, tied to the folder given.
 */
#ifndef RAG_INGEST_IGNORE_H
#define RAG_INGEST_IGNORE_H

#include <stdbool.h>
#include <stddef.h>

/* `*` and `?` do not cross '/'; "**" as a whole part of a path takes any number of
 * parts; [a-z], [!a-z], \x.  Time: linear in path times pattern. */
bool ignore_glob(const char *pattern, const char *path);

struct ignore_rules {
	struct ignore_rule {
		char *pattern;		/* owned */
		bool negated, folder, tied;
		size_t base;		/* bytes of the path, from the root, that the rule's folder takes */
		const char *file;	/* ".gitignore"; static */
	} *v;				/* owned (n) */
	size_t n, cap;
};

/* Adds the rules of FOLDER/.gitignore and FOLDER/.ragstoneignore, if any.  base:
 * length of the folder's path below the root, with its '/' (0: the root).  The
 * first `n` rules at the time are what ignore_pop(n) goes back to. */
int ignore_load(struct ignore_rules *r, const char *folder, size_t base);
void ignore_pop(struct ignore_rules *r, size_t n);
void ignore_release(struct ignore_rules *r);

/* path: below the root, "a/b.txt".  The file that says so, or NULL: not ignored. */
const char *ignore_match(const struct ignore_rules *r, const char *path, bool folder);

/* Does one of the patterns (NULL-terminated, may be NULL) match path, or a name in it? */
bool ignore_any(const char *const *patterns, const char *path, bool folder);

#endif
