/*
 * opts - option tables to values, and to the text of --help.
 *
 * A thin layer over getopt_long(): options may stand before, between and
 * behind the arguments; "--" ends them.
 */
#ifndef RAG_SRC_OPTS_H
#define RAG_SRC_OPTS_H

#include "src/cli/cli.h"

struct opt_set {
	const struct opt *opts;
	size_t n;
	void *base;		/* where the offsets count from */
};

/* Moves argv past the options of all sets.  stop_early: at the first argument
 * that is none (for what stands before a command's name).  Returns the index
 * of the first argument, or -1 with a message printed; -2: help was asked. */
int opts_parse(const struct opt_set *sets, size_t n_sets, int argc, char **argv, bool stop_early);
void opts_help(const struct opt *opts, size_t n);
/* "12", "64K", "3M", "1G"; false for anything else. */
bool opts_size(uint64_t *out, const char *s);

#endif
