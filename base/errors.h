/*
 * errors - the codes that every call of ragstone returns.
 *
 * Installed beside ragstone.h: these numbers are part of the ABI.  A code is
 * never renumbered and never reused; new ones are added at the end.
 */
#ifndef RAG_BASE_ERRORS_H
#define RAG_BASE_ERRORS_H

enum rag_err {
	RAG_OK = 0,
	RAG_ENOMEM = -1,	/* out of memory */
	RAG_EINVAL = -2,	/* an argument is out of its range */
	RAG_EIO = -3,		/* the operating system refused a read or write */
	RAG_ENOENT = -4,	/* no such file, store, document, chunk or model */
	RAG_EFORMAT = -5,	/* a file's bytes contradict its format */
	RAG_EUNSUP = -6,	/* well formed, but of a kind that we don't handle */
	RAG_EBUSY = -7,		/* another process is writing */
	RAG_EFULL = -8,		/* disk or store map full */
	RAG_ELIMIT = -9,	/* a bound on size, time or depth was reached */
	RAG_ECANCEL = -10,	/* the caller's callback asked to stop */
	RAG_ENET = -11,		/* name lookup, connection or HTTP status */
	RAG_EMISMATCH = -12,	/* the store was built with another embedder */
	RAG_EVERSION = -13,	/* written by a newer ragstone */
	RAG_ECORRUPT = -14,	/* a checksum or invariant of the store fails */
	RAG_EDENIED = -15,	/* forbidden by policy: private address, scheme, permission */
};

#endif
