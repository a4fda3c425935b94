# R's terra on both views: Rscript terra.R MANIFEST MOUNTED. The same lines as common.py's.
suppressPackageStartupMessages({ library(jsonlite); library(terra) })

arguments <- commandArgs(trailingOnly = TRUE)
manifest <- fromJSON(arguments[1], simplifyVector = FALSE)

tell <- function(kind, tool, check, reason = "") {
    result <- if (nzchar(reason)) "fail" else "pass"
    line <- list(kind = kind, tool = tool, check = check, result = result, reason = substr(reason, 1, 500))
    cat(toJSON(line, auto_unbox = TRUE), "\n", sep = "")
}

# Every value of the types here is a double. R reads no unsigned 32 bit integers, and signed ones with NA for the lowest.
true_pixels <- function(truth) {
    count <- prod(unlist(truth$shape))
    read <- function(what, size, signed) readBin(truth$pixels, what, count, size = size, signed = signed, endian = "little")
    switch(truth$dtype,
        uint8 = as.double(read("integer", 1, FALSE)),
        int8 = as.double(read("integer", 1, TRUE)),
        uint16 = as.double(read("integer", 2, FALSE)),
        int16 = as.double(read("integer", 2, TRUE)),
        float32 = read("double", 4, TRUE),
        float64 = read("double", 8, TRUE),
        {
            halves <- as.double(readBin(truth$pixels, "integer", 2 * count, size = 2, signed = FALSE, endian = "little"))
            whole <- halves[c(TRUE, FALSE)] + 65536 * halves[c(FALSE, TRUE)]
            if (truth$dtype == "int32") ifelse(whole >= 2^31, whole - 2^32, whole) else whole
        })
}

examine <- function(kind, tool, path, truth) {
    check <- function(name, condition, reason) tell(kind, tool, name, if (isTRUE(condition)) "" else reason)
    view <- rast(path)
    shape <- unlist(truth$shape)
    nodata <- if (is.null(truth$nodata)) NULL else as.double(truth$nodata)

    # terra shows values scaled and without nodata.
    wanted <- true_pixels(truth)
    missing <- if (is.null(nodata)) rep(FALSE, length(wanted))
               else if (is.nan(nodata)) is.nan(wanted)
               else wanted == nodata
    wanted <- wanted * truth$scale + truth$offset
    found <- if (nlyr(view) == shape[1] && nrow(view) == shape[2] && ncol(view) == shape[3]) as.vector(values(view, mat = FALSE)) else c()
    if (length(found) != length(wanted)) {
        tell(kind, tool, "pixels", sprintf("%d layers of %d x %d", nlyr(view), ncol(view), nrow(view)))
    } else {
        # Where nodata is, is a check of its own.
        known <- !missing & !is.na(found)
        wrong <- which(known & found != wanted)
        check("pixels", length(wrong) == 0,
              sprintf("%d other pixels, first %.17g became %.17g", length(wrong), wanted[wrong[1]], found[wrong[1]]))
        check("nodata", all(is.na(found) == missing),
              sprintf("%d pixels are missing, %d should be", sum(is.na(found)), sum(missing)))
    }

    truth_crs <- if (is.null(truth$epsg)) truth$wkt else paste0("EPSG:", truth$epsg)
    reference <- rast(nrows = 1, ncols = 1, crs = truth_crs)
    code <- crs(view, describe = TRUE)$code
    same <- crs(view, proj = TRUE) == crs(reference, proj = TRUE) && (is.null(truth$epsg) || identical(as.character(code), as.character(truth$epsg)))
    check("crs", same, paste(truth_crs, "became", crs(view, proj = TRUE)))

    t <- unlist(truth$transform)
    bounds <- c(t[3], t[3] + t[1] * shape[3], t[6] + t[5] * shape[2], t[6])
    check("transform", isTRUE(all.equal(as.vector(ext(view)), bounds, tolerance = 1e-12, check.attributes = FALSE)),
          paste("extent", toString(format(bounds, digits = 15)), "became", toString(format(as.vector(ext(view)), digits = 15))))

    if (tool == "terra-tif") {
        table <- coltab(view)[[1]]
        palette <- truth$palette
        shown <- sapply(names(palette), function(value) {
            row <- if (is.null(table)) NULL else table[table[, 1] == as.integer(value), ]
            !is.null(row) && nrow(row) == 1 && all(as.integer(row[1, 2:4]) == unlist(palette[[value]])[1:3])
        })
        check("colours", all(as.logical(shown)), paste("other colours of", toString(names(palette)[!as.logical(shown)])))
        classes <- truth$classes
        named <- cats(view)[[1]]
        shown <- sapply(names(classes), function(value) {
            row <- if (is.data.frame(named)) named[named[, 1] == as.integer(value), ] else data.frame()
            nrow(row) == 1 && any(row[1, -1] == classes[[value]])
        })
        check("classes", all(as.logical(shown)), paste("other names of", toString(names(classes)[!as.logical(shown)])))
    }
}

examine_vector <- function(kind, path, truth) {
    check <- function(name, condition, reason) tell(kind, "terra-vector", name, if (isTRUE(condition)) "" else reason)
    names_of <- sapply(truth$layers, function(layer) layer$name)
    check("layers", setequal(vector_layers(path), names_of), paste(toString(names_of), "became", toString(vector_layers(path))))
    for (layer in truth$layers) {
        view <- vect(path, layer = layer$name)
        check("crs", identical(as.character(crs(view, describe = TRUE)$code), as.character(layer$epsg)),
              paste(layer$epsg, "became", crs(view, describe = TRUE)$code))
        found <- as.data.frame(view)
        wrong <- Filter(function(name) {
            wanted <- unlist(lapply(layer$fields[[name]], function(value) if (is.null(value)) NA else value))
            # A column of nothing has the type of the field.
            if (all(is.na(wanted))) !all(is.na(found[[name]]))
            else !isTRUE(all.equal(wanted, found[[name]], check.attributes = FALSE, tolerance = 0))
        }, names(layer$fields))
        check("fields", length(wrong) == 0, paste("other values of", toString(wrong)))
        wanted <- matrix(unlist(layer$features), ncol = 2, byrow = TRUE)
        shapes <- geom(view)
        check("geometry", nrow(view) == length(layer$features) && identical(dim(wanted), dim(shapes[, c("x", "y"), drop = FALSE]))
              && all(wanted == shapes[, c("x", "y")]), sprintf("%d vertices became %d, or others", nrow(wanted), nrow(shapes)))
    }
}

for (kind in manifest) {
    for (truth in kind$rasters) {
        for (view in c("tif", "zarr")) {
            tool <- paste0("terra-", view)
            path <- file.path(arguments[2], kind$kind, paste0(truth$name, ".", view))
            tryCatch(suppressWarnings(examine(kind$kind, tool, path, truth)),
                     error = function(error) tell(kind$kind, tool, "open", conditionMessage(error)))
        }
    }
    for (truth in kind$vectors) {
        path <- file.path(arguments[2], kind$kind, truth$file)
        tryCatch(suppressWarnings(examine_vector(kind$kind, path, truth)),
                 error = function(error) tell(kind$kind, "terra-vector", "open", conditionMessage(error)))
    }
}
