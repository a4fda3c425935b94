//! Texts that the mount itself writes.

/// `README.md` at the root of the mount.
pub(super) fn readme() -> Vec<u8> {
    README.as_bytes().to_vec()
}

const README: &str = "\
# Copernicus Land Monitoring Service, as a folder

Every directory here is a CLMS dataset, every directory in it a product that can be downloaded.

    <dataset>/collection.json               what the dataset is (STAC)
    <dataset>/metadata.json                 the catalogue record as the service gave it
    <dataset>/<product>/item.json           what is known of the product (STAC)
    <dataset>/<product>/<product>.tif       the raster as GeoTIFF
    <dataset>/<product>/<product>.zarr/     the same pixels as Zarr
    <dataset>/<product>/<product>.gpkg      vector data as it was delivered; likewise .gdb/ and .shp, .shx, .dbf ...
    .clmsfs/status.json                     what this mount is doing

Looking costs nothing: ls, find, du, stat and the JSON files never touch the network.
Opening a data file (.tif, .gpkg, .shp, a file of a .zarr or .gdb) that is not here yet ORDERS it from the service:
the open waits (minutes, sometimes hours) or fails with \"Resource temporarily unavailable\", as this mount is
configured. It has size 0 until it is here; from then on it is as fast as any local file. Before that its name is a
guess from the catalogue: what a product really holds is shown once it is here.

    clmsfs fetch <dataset>/<product>        fetch with a progress bar
    clmsfs status                           what is under way
    getfattr -d <file>                      user.clmsfs.state, .progress, .eta, .error, .task_id ...

States: cold, ordered, queued, running, downloading, extracting, converting, ready, failed (see user.clmsfs.error).
Programs that copy everything they meet (rsync, tar, indexers, backup) are refused cold files: see `clmsfs config show`.
Note that GNU tar stores files of size 0 without opening them: fetch first, then archive.
The mount's log is on its standard error, in `journalctl -u clmsfs@<instance>` when systemd runs it.
";
